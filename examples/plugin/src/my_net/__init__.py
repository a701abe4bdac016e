"""The architecture my_net for imgclf."""
