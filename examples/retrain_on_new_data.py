"""Train a classifier further on other images, or with a further class.

Usage: python examples/retrain_on_new_data.py CLASSIFIER NEW_FOLDER [--epochs 10]

NEW_FOLDER has one sub-folder per class. Classes are matched by name: a new one is added, one that
is missing is dropped. Keep some of the old images in it; networks forget what they no longer see.
"""

import argparse

import imgclf

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("classifier")
parser.add_argument("folder")
parser.add_argument("--epochs", type=int, default=10)
arguments = parser.parse_args()

old = imgclf.load(arguments.classifier)
new = imgclf.train(
    arguments.folder,
    start_from=old,
    epochs=arguments.epochs,
    learning_rate=3e-4,  # lower than the first time: fine-tuning, not training from the start
    run_dir="retrained",
)

added = sorted(set(new.class_names) - set(old.class_names))
dropped = sorted(set(old.class_names) - set(new.class_names))
print(f"Classes: {', '.join(new.class_names)}")
print(f"Added: {', '.join(added) or 'none'}; dropped: {', '.join(dropped) or 'none'}")
print(f"Accuracy {new.figures.accuracy:.1%} on {new.figures.num_images} test images")
print("The new classifier is retrained/model.imgclf, the report retrained/report.html.")
