"""What people read about a gateway: how it stands now."""
