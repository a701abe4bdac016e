"""What a person should know about a folder of images before training."""
