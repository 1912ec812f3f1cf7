"""The FastAPI service of the tutorials: a plain function, torch and torchvision in it."""

import uvicorn
from fastapi import FastAPI, Response
from samples import PORT, draw, load_model, to_png  # type: ignore[import-not-found]

app = FastAPI()
vae = load_model()


@app.post("/generate")
def generate(n: int = 16) -> Response:
    """One request, one decode, one PNG; FastAPI runs it in its thread pool."""
    return Response(to_png(draw(vae, n)), media_type="image/png")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
