"""From a folder to a classifier, and back again from its file.

Usage: python examples/quickstart.py [FOLDER]

FOLDER has one sub-folder of images per class. Without it, the small pictures of clothes that come
with imgclf are taken.
"""

import sys
from pathlib import Path

import imgclf
from imgclf.data.demo import unpack_images

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else unpack_images(Path("quickstart-images"))

# Every file is read once; the images are divided into training, validation and test images.
# The validation images choose the best epoch, the test images give the figure.
# Without a budget it stops when more time gains nothing, after five minutes at the latest.
clf = imgclf.train(folder, budget="1m")
figures = clf.figures
print(f"Accuracy {figures.accuracy:.1%} on {figures.num_images} {figures.split} images,")
print(f"with 95 % certainty between {figures.accuracy_low:.1%} and {figures.accuracy_high:.1%};")
print(f"always answering the most frequent class would give {figures.majority_accuracy:.1%}.")

# One file is the whole classifier: network, classes, and how to prepare an image.
clf.save("quickstart.imgclf")
same = imgclf.load("quickstart.imgclf")

image = next(path for path in sorted(folder.rglob("*")) if path.is_file())
prediction = same.predict(image)[0]
print(f"{image} is: {prediction.label} ({prediction.probability:.1%})")
