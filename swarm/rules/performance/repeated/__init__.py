"""Rules about what is asked, built or computed again though it was there already."""
