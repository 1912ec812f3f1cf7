// ln p(x | z) of grey levels and logits, as sums of integers. Both are (channels, height, width).
import { FINE, fineMeans, logistic, LOGIT_LIMIT, NATS, softplus } from "./tables.js";

/** Return the function (levels, logits) -> nats of grey or binary pixels. */
export function bernoulli() {
  const table = softplus();
  return (levels, logits) => {
    let [products, total] = [0, 0];
    for (let i = 0; i < levels.length; i++) {
      products += levels[i] * logits[i];
      total += table[logits[i] + LOGIT_LIMIT];
    }
    return Math.fround(products / (255 * 256) - total / NATS);
  };
}

/** Return the function (levels, logits) -> nats of colour pixels, whose scale each channel has learnt. */
export function discretisedLogistic(logScale) {
  const means = fineMeans();
  const tables = Array.from(logScale, logistic);
  return (levels, logits) => {
    const pixels = levels.length / tables.length;
    let total = 0;
    for (let i = 0; i < levels.length; i++) {
      const [inside, below, above] = tables[Math.floor(i / pixels)];
      const table = levels[i] === 0 ? below : levels[i] === 255 ? above : inside;
      total += table[levels[i] * FINE - means[logits[i] + LOGIT_LIMIT] + 255 * FINE];
    }
    return Math.fround(total / NATS);
  };
}
