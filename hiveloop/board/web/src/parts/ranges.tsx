import { change, param } from "../data/router";

const RANGES = ["1h", "6h", "24h", "7d", "30d"];
const USUAL = "24h";
const WORDS: Record<string, string> = { "1h": "hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days", "30d": "30 days" };

/** The range that is looked at, as the API calls it. */
export function range(): string {
  return param("range") || USUAL;
}

/** A range in words, to stand after "the last"; the one that is looked at, unless another is given. */
export function rangeWords(one = range()): string {
  return WORDS[one] ?? one;
}

export function Ranges() {
  return (
    <div class="segments" role="group" aria-label="Range">
      {RANGES.map((one) => (
        <button key={one} type="button" aria-pressed={range() === one} title={`The last ${WORDS[one] ?? one}`} onClick={() => change({ range: one === USUAL ? null : one })}>
          {one}
        </button>
      ))}
    </div>
  );
}
