"""Classify all images of a folder into a table, and set aside what the classifier is unsure of.

Usage: python examples/predict_folder.py CLASSIFIER FOLDER [--sure 0.9]

The table is labels.csv; images are neither moved nor changed. The same on the command line:

    imgclf predict CLASSIFIER FOLDER --csv > labels.csv
"""

import argparse
import csv
from collections import Counter

import imgclf

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("classifier")
parser.add_argument("folder")
parser.add_argument("--sure", type=float, default=0.9, help="Least probability of an answer.")
arguments = parser.parse_args()

clf = imgclf.load(arguments.classifier)
# strict=False: a damaged image is named in the log and left out, the others are classified.
predictions = clf.predict(arguments.folder, strict=False)

with open("labels.csv", "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["path", "label", "probability", *clf.class_names])
    for item in predictions:
        writer.writerow([item.path, item.label, item.probability, *item.probabilities.values()])

sure = [item for item in predictions if item.probability >= arguments.sure]
for label, count in Counter(item.label for item in sure).most_common():
    print(f"{label}: {count}")
print(f"unsure: {len(predictions) - len(sure)} of {len(predictions)}, see labels.csv")
