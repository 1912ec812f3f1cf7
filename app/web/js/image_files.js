// Image files of any kind, brought to a form that the service reads.
//
// The service reads small PNG and JPEG files as they are. Everything else that the browser can decode
// becomes a PNG, which keeps transparency: the service decides on which background it lies.
import { Problem } from "./api.js";

/** No model uses as many pixels as a photo has. */
const MAX_PIXELS = 600 * 600;
/** Largest file in bytes that is sent. */
const MAX_BYTES = 900_000;
/** Longest side of a drawing without pixels (SVG). */
const VECTOR_SIDE = 560;
/** Size of an SVG file that does not name one: that of the standard. */
const VECTOR_SIZE = [300, 150];

const REMEDY = "open it in an image program, and save it as PNG or JPEG";

/** Kinds of files that the page can name, by their first bytes. */
const KINDS = [
  ["PNG", /^\x89PNG\r\n\x1a\n/],
  ["JPEG", /^\xff\xd8\xff/],
  ["GIF", /^GIF8[79]a/],
  ["WebP", /^RIFF[^]{4}WEBP/],
  ["AVIF", /^[^]{4}ftypavi[fs]/],
  ["HEIC", /^[^]{4}ftyp(hei[cmsx]|hev[cx]|mif1|msf1)/],
  ["TIFF", /^(II\*\0|MM\0\*)/],
  ["PDF", /^%PDF-/],
  ["Photoshop", /^8BPS/],
  ["JPEG XL", /^(\xff\x0a|\0\0\0\x0cJXL )/],
  ["JPEG 2000", /^\0\0\0\x0cjP {2}/],
  ["video", /^([^]{4}ftyp|\x1aE\xdf\xa3)/],
  ["SVG", /^\s*(<\?xml[^]*?)?(<!--[^]*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]/],
];
/** Kinds that the service may read although a browser cannot; its answer says what is wrong with a damaged one. */
const READ_BY_SERVICE = new Set(["PNG", "JPEG", "GIF", "WebP", "AVIF", "HEIC"]);

/**
 * Return the bytes of an image file as the service reads them. Throws Problem if the file is no image,
 * or one that neither the browser nor the service can read.
 */
export async function readableBytes(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (!bytes.length) throw new Problem({ detail: "The file is empty.", remedy: "choose another file" });
  const kind = kindOf(bytes);
  if (kind === "SVG") return smallPng(await drawnSvg(bytes));
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" }).catch(() => null);
  if (!bitmap) {
    if (READ_BY_SERVICE.has(kind)) return bytes;
    throw unreadable(kind);
  }
  const isPlain = kind === "PNG" || kind === "JPEG";
  if (isPlain && bytes.length <= MAX_BYTES && bitmap.width * bitmap.height <= MAX_PIXELS) return bytes;
  return smallPng({ picture: bitmap, width: bitmap.width, height: bitmap.height, orientation: kind === "WebP" ? webpOrientation(bytes) : 1 });
}

/** Return the name of the kind of a file, or null. */
export function kindOf(bytes) {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 4096)).replace(/^\xef\xbb\xbf/, "");
  return KINDS.find(([, pattern]) => pattern.test(start))?.[0] ?? null;
}

function unreadable(kind) {
  if (kind === "video") return new Problem({ detail: "This file is a video, or an image that the browser cannot read.", remedy: "take a picture of one frame, and save it as PNG or JPEG" });
  if (kind) return new Problem({ detail: `The browser cannot read ${kind} files as an image.`, remedy: REMEDY });
  return new Problem({ detail: "The browser cannot read this file as an image.", remedy: `choose a PNG, JPEG, WebP, GIF, AVIF, BMP or SVG file; if it is an image of another kind, ${REMEDY}` });
}

const damagedSvg = () => new Problem({ detail: "The browser cannot draw this SVG file: it is damaged.", remedy: REMEDY });

/**
 * Return a picture as a PNG that is not larger than the limits, upright. The picture is a bitmap or an
 * image of width x height pixels.
 */
async function smallPng({ picture, width, height, orientation = 1 }) {
  let scale = Math.min(1, Math.sqrt(MAX_PIXELS / (width * height)));
  for (;;) {
    const png = await drawn(picture, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)), orientation);
    if (png.size <= MAX_BYTES) return new Uint8Array(await png.arrayBuffer());
    scale *= 0.95 * Math.sqrt(MAX_BYTES / png.size);
  }
}

function drawn(picture, width, height, orientation) {
  const isTurned = orientation > 4;
  const canvas = new OffscreenCanvas(isTurned ? height : width, isTurned ? width : height);
  const brush = canvas.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.setTransform(...UPRIGHT[orientation](width, height));
  brush.drawImage(picture, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/png" });
}

/** The transformations that turn a picture upright, by its EXIF orientation. Exif 2.32, section 4.6.4. */
const UPRIGHT = {
  1: () => [1, 0, 0, 1, 0, 0],
  2: (width) => [-1, 0, 0, 1, width, 0],
  3: (width, height) => [-1, 0, 0, -1, width, height],
  4: (width, height) => [1, 0, 0, -1, 0, height],
  5: () => [0, 1, 1, 0, 0, 0],
  6: (width, height) => [0, 1, -1, 0, height, 0],
  7: (width, height) => [0, -1, -1, 0, height, width],
  8: (width) => [0, -1, 1, 0, 0, width],
};

/** Return the EXIF orientation of a WebP file, 1 to 8. Browsers turn the other kinds of images, but not WebP. */
function webpOrientation(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (view.getUint32(at) === 0x45584946) return exifOrientation(bytes.slice(at + 8, at + 8 + size));
    at += 8 + size + (size % 2);
  }
  return 1;
}

const ORIENTATION = 0x0112;

/** Return the orientation in EXIF data, or 1 if it has none or is broken. */
function exifOrientation(bytes) {
  try {
    const start = new TextDecoder("latin1").decode(bytes.subarray(0, 6)) === "Exif\0\0" ? 6 : 0;
    const view = new DataView(bytes.buffer, start);
    const little = view.getUint16(0) === 0x4949;
    const entries = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(entries, little); i++) {
      const at = entries + 2 + 12 * i;
      const value = view.getUint16(at + 8, little);
      if (view.getUint16(at, little) === ORIENTATION) return Object.hasOwn(UPRIGHT, value) ? value : 1;
    }
  } catch {
    // The data end early: the service ignores broken EXIF data too.
  }
  return 1;
}

/** Draw an SVG file so large that its lines are clear. Its scripts do not run, and it can load nothing. */
async function drawnSvg(bytes) {
  const { documentElement: root } = new DOMParser().parseFromString(new TextDecoder().decode(bytes), "image/svg+xml");
  if (root.localName !== "svg") throw damagedSvg();
  const box = (root.getAttribute("viewBox") ?? "").trim().split(/[\s,]+/).map(Number);
  const hasBox = box.length === 4 && box.every(Number.isFinite) && box[2] > 0 && box[3] > 0;
  const length = (name) => {
    const text = root.getAttribute(name) ?? "";
    return /^\s*[\d.]+\s*(px)?\s*$/.test(text) && parseFloat(text) > 0 ? parseFloat(text) : null;
  };
  const [width, height] = hasBox ? box.slice(2) : [length("width") ?? VECTOR_SIZE[0], length("height") ?? VECTOR_SIZE[1]];
  const scale = VECTOR_SIDE / Math.max(width, height);
  const size = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
  if (!hasBox) root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const [name, value] of Object.entries(size)) root.setAttribute(name, value);
  const picture = new Image();
  // Not a blob: address, from which some browsers do not let the page read the pixels.
  picture.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(root))}`;
  await picture.decode().catch(() => Promise.reject(damagedSvg()));
  return { picture, ...size };
}
