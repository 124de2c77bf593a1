"""The admin plane: what people and programs ask and tell a running gateway, on a port of its own with its own key."""
