"""The category sets that ship, one JSON file each; avis_data.categories reads them. No code lives here."""
