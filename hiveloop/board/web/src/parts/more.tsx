import type { List } from "../data/list";

/** A button for the next page of a list, while there is one. */
export function More({ of, children }: { of: Pick<List<unknown>, "more">; children: string }) {
  if (!of.more) return null;
  return (
    <button type="button" class="more" onClick={of.more}>
      {children}
    </button>
  );
}
