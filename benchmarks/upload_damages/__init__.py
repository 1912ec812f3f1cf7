"""How many digits keep their label if they are photographed under twelve kinds of damage."""
