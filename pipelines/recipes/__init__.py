"""The recipes that ship, as YAML: values only, read by avis_data.recipe. No code lives here."""
