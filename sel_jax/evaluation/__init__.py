"""How good the restored photographs are."""
