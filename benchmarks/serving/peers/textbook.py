"""Serve with FastAPI as tutorials do: a plain function that calls torch and torchvision."""

import uvicorn
from fastapi import FastAPI, Response
from shared import PORT, draw, load_model, to_png  # type: ignore[import-not-found]

app = FastAPI()
vae = load_model()


@app.post("/generate")
def generate(n: int = 16) -> Response:
    """Decode and encode one request; FastAPI runs this in its thread pool."""
    return Response(to_png(draw(vae, n)), media_type="image/png")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
