"""The recipe that imgclf grew from: two classes, eight steps.

Usage: python examples/men_and_women.py TRAIN VAL [EPOCHS]

TRAIN and VAL are folders with one sub-folder per class each: men and women, cats and dogs, ripe and
unripe. docs/eight-steps.md explains every step.
"""

import sys

import imgclf

# 1. A directory with one folder per class, to learn from.
train_dir = sys.argv[1]

# 2. Another one, held out, to see whether it has learned more than these pictures by heart.
val_dir = sys.argv[2]

# 5. and 6. Pictures become numbers: all are resized, training pictures are sheared and zoomed a
# little. (The recipe also mirrored validation pictures: val_horizontal_flip=True would.)
# These two come first here, because the network has to know the size of what it will read.
train, val = imgclf.make_generators(
    train_dir,
    val_dir,
    image_size=(150, 150),  # height, width
    batch_size=16,
    augment="classic",  # shear 0.2 degrees, zoom 0.2
)
print(f"{train.num_classes} classes, {train.class_names}: {train.num_samples} training images")

# 3. and 4. Three blocks of convolution and pooling, then two hidden layers. The division by 255
# is the network's first layer, so that nobody can forget it later.
model = imgclf.build_model(
    "three_conv", train.input_shape, train.num_classes, filters=32, pooling="max", hidden_units=64
)

# 7. Learning rate, epochs, and the steps that follow from the batch size.
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 20
print(f"{train.num_samples} images / {train.batch_size} = {train.steps_per_epoch} steps per epoch")
fitted = imgclf.fit(model, train, val, epochs=epochs, learning_rate=1e-3, verbose=1)
print(f"Best epoch: {fitted.best_epoch + 1} of {fitted.epochs}")

# 8. Save it; imgclf.load gives it back, and `imgclf train --from` trains it further.
clf = imgclf.Classifier(model, train)
clf.save("men_and_women.imgclf")
result = imgclf.evaluate(clf, val)
print(f"Accuracy {result.accuracy:.1%} on {val.num_samples} images that also chose the epoch")
