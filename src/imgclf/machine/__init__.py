"""The machine: processor, memory, devices, number formats, and how TensorFlow starts."""
