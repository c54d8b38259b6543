"""Ways of weakening a compliant stack, made from its resources, to see which rules notice."""
