"""Search for good options with short trials, then train the best ones for longer.

Usage: python examples/tune_then_train.py FOLDER [--trials 10] [--trial-epochs 8] [--epochs 30]
           [--image-size 96]

The same on the command line:

    imgclf tune FOLDER --arch three_conv --max-trials 10 --trial-epochs 8
    imgclf train FOLDER --settings studies/three_conv-.../best.json --epochs 30
"""

import argparse

import imgclf

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder")
parser.add_argument("--trials", type=int, default=10)
parser.add_argument("--trial-epochs", type=int, default=8)
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--image-size", type=int, default=96)
arguments = parser.parse_args()

result = imgclf.tune(
    "three_conv",
    arguments.folder,
    image_size=arguments.image_size,
    max_trials=arguments.trials,
    trial_epochs=arguments.trial_epochs,
    space={"filters": [16, 32, 48], "learning_rate": "3e-4..3e-3:log"},
    fresh=True,  # delete an earlier study of the same search; resume=True would continue it
)
print(f"Best of {len(result.trials)} trials: learning rate {result.learning_rate:.2g}", end=", ")
print(", ".join(f"{name}={value}" for name, value in result.options.items()))

clf = imgclf.train(arguments.folder, **{**result.settings, "epochs": arguments.epochs})
print(f"Accuracy {clf.figures.accuracy:.1%} on {clf.figures.num_images} test images")
clf.save("tuned.imgclf")
