import { useEffect, useRef } from "preact/hooks";
import { helpOpen } from "../data/keys";

const KEYS: readonly (readonly [string, string])[] = [
  ["j / k", "next, previous row"],
  ["Enter", "open the row"],
  ["Esc", "close, clear, go back"],
  ["/", "search"],
  ["p", "pause the live stream, go on"],
  ["n / N", "next, previous match in a task, else failure"],
  ["g f", "Fleet"],
  ["g p", "Pipeline"],
  ["g c", "Costs"],
  ["g i", "Insights"],
  ["g k", "API keys"],
  ["?", "this sheet"],
];

export function Help() {
  const sheet = useRef<HTMLDialogElement>(null);
  useEffect(() => sheet.current?.showModal(), []);
  const close = () => (helpOpen.value = false);
  return (
    <dialog ref={sheet} class="help" aria-label="Keyboard" onClose={close} onCancel={close}>
      <h2>Keyboard</h2>
      <dl>
        {KEYS.map(([key, told]) => (
          <div key={key}>
            <dt>
              {key.split(" ").map((part, at) => (part === "/" && key.length > 1 ? <span key={at}> / </span> : <kbd key={at}>{part}</kbd>))}
            </dt>
            <dd>{told}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={close} autofocus>
        Close
      </button>
    </dialog>
  );
}
