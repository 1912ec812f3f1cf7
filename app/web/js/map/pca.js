// Principal component analysis: the directions along which latents vary most.

/** Sweeps of Jacobi rotations; ten bring a matrix of 128 rows to the limit of its numbers. */
const SWEEPS = 30;

/**
 * Return {mean, axes, variances} of latents u, a typed array of count * latent numbers. `axes` are unit
 * vectors, the one with the largest variance first; the largest component of each is positive.
 */
export function principalAxes(u, count, latent, howMany = 2) {
  const mean = meanOf(u, count, latent);
  const centred = Float64Array.from(u, (value, i) => value - mean[i % latent]);
  // With fewer images than dimensions, the products of images with one another are the smaller matrix.
  const byImages = count < latent;
  const { values, vectors } = eigen(byImages ? productsOfRows(centred, count, latent) : productsOfColumns(centred, count, latent), byImages ? count : latent);
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a]).slice(0, howMany);
  const axes = order.map((i) => unit(byImages ? mapBack(centred, vectors[i], count, latent) : vectors[i]));
  return { mean, axes, variances: order.map((i) => Math.max(0, values[i]) / count) };
}

export function meanOf(u, count, latent) {
  const mean = new Array(latent).fill(0);
  for (let i = 0; i < u.length; i++) mean[i % latent] += u[i] / count;
  return mean;
}

export const dot = (a, b) => a.reduce((sum, value, d) => sum + value * b[d], 0);

/** Return a vector of length 1 whose largest component is positive; a vector of zeros stays one. */
export function unit(vector) {
  const largest = vector.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
  const length = Math.sqrt(dot(vector, vector)) * (Math.sign(largest) || 1);
  return Array.from(vector, (value) => (length ? value / length : 0));
}

function productsOfColumns(rows, count, latent) {
  const products = Array.from({ length: latent }, () => new Float64Array(latent));
  for (let i = 0; i < count; i++) {
    const row = rows.subarray(i * latent, (i + 1) * latent);
    for (let a = 0; a < latent; a++) for (let b = a; b < latent; b++) products[a][b] += row[a] * row[b];
  }
  for (let a = 0; a < latent; a++) for (let b = 0; b < a; b++) products[a][b] = products[b][a];
  return products;
}

function productsOfRows(rows, count, latent) {
  const row = (i) => rows.subarray(i * latent, (i + 1) * latent);
  return Array.from({ length: count }, (_, i) => Float64Array.from({ length: count }, (_, j) => dot(row(i), row(j))));
}

function mapBack(rows, weights, count, latent) {
  const vector = new Array(latent).fill(0);
  for (let i = 0; i < count; i++) for (let d = 0; d < latent; d++) vector[d] += weights[i] * rows[i * latent + d];
  return vector;
}

/** Return the eigenvalues of a symmetric matrix, which is overwritten, and a unit eigenvector for each (Jacobi's method). */
function eigen(matrix, size) {
  const vectors = Array.from({ length: size }, (_, i) => Float64Array.from({ length: size }, (_, j) => Number(i === j)));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let rotations = 0;
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        if (Math.abs(matrix[p][q]) <= 1e-15 * Math.sqrt(Math.abs(matrix[p][p] * matrix[q][q]))) continue;
        rotations += 1;
        rotate(matrix, vectors, size, p, q);
      }
    }
    if (!rotations) break;
  }
  return { values: Array.from({ length: size }, (_, i) => matrix[i][i]), vectors };
}

/** Rotate dimensions p and q so that matrix[p][q] becomes 0. Rows of `vectors` are the eigenvectors. */
function rotate(matrix, vectors, size, p, q) {
  const theta = (matrix[q][q] - matrix[p][p]) / (2 * matrix[p][q]);
  const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const cosine = 1 / Math.sqrt(tangent * tangent + 1);
  const sine = tangent * cosine;
  const turn = (a, b) => [cosine * a - sine * b, sine * a + cosine * b];
  for (let k = 0; k < size; k++) [matrix[k][p], matrix[k][q]] = turn(matrix[k][p], matrix[k][q]);
  for (let k = 0; k < size; k++) [matrix[p][k], matrix[q][k]] = turn(matrix[p][k], matrix[q][k]);
  for (let k = 0; k < size; k++) [vectors[p][k], vectors[q][k]] = turn(vectors[p][k], vectors[q][k]);
}
