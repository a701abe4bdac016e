"""A small web service: POST an image, get its class.

Usage: pip install flask, then:

    IMGCLF_CLASSIFIER=pets.imgclf flask --app examples/use_in_a_flask_app.py run
    curl --data-binary @cat.jpg http://127.0.0.1:5000/classify

`flask run` is for trying things out; serve it to others with a real WSGI server behind a proxy.
"""

import os
import threading

from flask import Flask, Response, jsonify, request

import imgclf

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024 * 1024  # bytes; larger uploads are refused with 413

# Loaded once, before the first request: this takes some seconds. Loading runs no code from the
# file, and the decoder refuses oversized and malformed images before it allocates for them.
clf = imgclf.load(os.environ.get("IMGCLF_CLASSIFIER", "model.imgclf"))
one_at_a_time = threading.Lock()  # the network uses all cores for one image already


@app.post("/classify")
def classify() -> tuple[Response, int]:
    """Answer with the most probable class and all probabilities."""
    try:
        with one_at_a_time:
            prediction = clf.predict(request.get_data())[0]
    except imgclf.ImageError as error:  # its text is one line that may be shown to the sender
        return jsonify(error=str(error), reason=error.reason), 400
    answer = jsonify(
        label=prediction.label,
        probability=round(prediction.probability, 4),
        probabilities={name: round(p, 4) for name, p in prediction.probabilities.items()},
    )
    return answer, 200


@app.get("/health")
def health() -> tuple[Response, int]:
    """Say what is served; a load balancer asks for this."""
    return jsonify(classes=clf.class_names, imgclf=imgclf.__version__), 200
