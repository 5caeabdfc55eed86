import { useSignal } from "@preact/signals";
import { Icon } from "./icon";

/** A button that copies a text, and says that it did. */
export function Copy({ value, label }: { value: string; label: string }) {
  const done = useSignal(false);
  const copy = async () => {
    await navigator.clipboard.writeText(value);
    done.value = true;
    setTimeout(() => (done.value = false), 1500);
  };
  return (
    <button type="button" class="quiet" onClick={() => void copy()} title={label}>
      <Icon name={done.value ? "check" : "copy"} />
      {done.value ? "Copied" : label}
    </button>
  );
}
