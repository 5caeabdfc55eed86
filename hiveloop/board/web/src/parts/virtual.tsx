// Long lists: only the rows in sight are in the document.
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const BEYOND = 12;
const ALL_BELOW = 120;

interface Props<T> {
  items: readonly T[];
  rowHeight: number;
  class?: string;
  label: string;
  role?: JSX.HTMLAttributes["role"];
  onScroll?: (atTop: boolean) => void;
  /** Index of a row to bring into sight when it changes; none when negative. */
  shows?: number;
  row: (item: T, index: number) => ComponentChildren;
}

/** Rows of one height; the element scrolls by itself and is a list for the keyboard. */
export function VirtualList<T>({ items, rowHeight, label, row, onScroll, shows = -1, role = "list", ...rest }: Props<T>) {
  const box = useRef<HTMLDivElement>(null);
  const view = useSignal({ top: 0, height: 800 });
  const measure = () => {
    const element = box.current;
    if (!element) return;
    const { scrollTop: top, clientHeight: height } = element;
    if (top !== view.peek().top || height !== view.peek().height) view.value = { top, height };
  };
  useLayoutEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || shows < 0) return;
    const [top, bottom] = [shows * rowHeight, (shows + 1) * rowHeight];
    const isInSight = top >= element.scrollTop && bottom <= element.scrollTop + element.clientHeight;
    if (!isInSight) element.scrollTop = Math.max(0, top - element.clientHeight / 3);
  }, [shows]);
  const whole = items.length <= ALL_BELOW;
  const first = whole ? 0 : Math.max(0, Math.floor(view.value.top / rowHeight) - BEYOND);
  const last = whole ? items.length : Math.ceil((view.value.top + view.value.height) / rowHeight) + BEYOND;
  const scrolled = () => {
    measure();
    onScroll?.((box.current?.scrollTop ?? 0) < 4);
  };
  return (
    <div class={`scroller ${rest.class ?? ""}`} ref={box} onScroll={scrolled} data-rows role={role} aria-label={label} tabIndex={-1}>
      <div style={{ height: `${first * rowHeight}px` }} />
      {items.slice(first, last).map((item, at) => row(item, first + at))}
      <div style={{ height: `${Math.max(0, items.length - last) * rowHeight}px` }} />
    </div>
  );
}
