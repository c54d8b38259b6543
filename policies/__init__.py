"""What must hold: rules over a stack's resources, the packs that enforce them, and the evidence that they held."""
