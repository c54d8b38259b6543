"""Where a drill or a restore acts: the live sandbox (`live`), or a real stack at AWS (`aws`)."""
