"""The addresses of a classifier inside another application.

Usage: pip install 'imgclf[serve]', then:

    IMGCLF_CLASSIFIER=pets.imgclf uvicorn --app-dir examples/serve mount_in_starlette:app
    curl -F image=@cat.jpg http://127.0.0.1:8000/pets/predict

FastAPI mounts it in the same way: `app.mount("/pets", application(...))`.
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from imgclf.serving import application


async def home(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("The classifier is at /pets.")


pets = application(os.environ.get("IMGCLF_CLASSIFIER", "pets.imgclf"))
app = Starlette(routes=[Route("/", home), Mount("/pets", pets)])
