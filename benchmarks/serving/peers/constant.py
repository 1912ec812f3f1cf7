"""Send a constant PNG from a FastAPI route: the cost of the framework alone."""

import os
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response

PNGS = {int(file.stem): file.read_bytes() for file in Path(os.environ["PNGS"]).glob("*.png")}

app = FastAPI()


@app.post("/generate")
async def generate(n: int = 16) -> Response:
    """Answer every request with the same bytes."""
    return Response(PNGS[n], media_type="image/png")


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
