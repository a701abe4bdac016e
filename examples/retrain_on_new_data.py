"""Go on from a classifier with other images, or with a further class, and see what it forgets.

Usage: python examples/retrain_on_new_data.py BUNDLE NEW_FOLDER [--epochs 10]

NEW_FOLDER has one sub-folder per class. Classes are matched by name: a new one is added, one that
is missing is dropped. Keep some of the old images in it; what is not seen is soon forgotten.
"""

import argparse

import imgclf

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("bundle")
parser.add_argument("folder")
parser.add_argument("--epochs", type=int, default=10)
arguments = parser.parse_args()

old = imgclf.load(arguments.bundle)
new = imgclf.train(
    arguments.folder,
    start_from=old,
    epochs=arguments.epochs,
    learning_rate=3e-4,  # lower than the first time: it should refine, not begin again
    run_dir="retrained",
)

added = sorted(set(new.class_names) - set(old.class_names))
dropped = sorted(set(old.class_names) - set(new.class_names))
print(f"Classes: {', '.join(new.class_names)}")
print(f"Added: {', '.join(added) or 'none'}; dropped: {', '.join(dropped) or 'none'}")
print(f"Accuracy {new.figures.accuracy:.1%} on {new.figures.num_images} test images")
print("The new classifier is retrained/model.imgclf, the report retrained/report.html.")
