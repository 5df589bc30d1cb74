"""What the pages share: the shell, the catalogue of lessons, uploads, the engine."""
