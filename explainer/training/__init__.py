"""How the bundled weights were made: data, recipe, evaluation."""
