import type { ConfigChange } from "../data/changes";

interface Props {
  changes: readonly ConfigChange[];
  /** There are older ones that are not among them. */
  isCut: boolean;
}

/** The marks of a chart as links: for the keyboard, and for those who do not see the chart. */
export function ChangeList({ changes, isCut }: Props) {
  if (changes.length === 0) return null;
  return (
    <div class="changed">
      <i class="change-sign" aria-hidden="true" />
      <span class="muted">{isCut ? `The ${changes.length} newest configuration changes:` : "Configuration changes:"}</span>
      <ul aria-label="Configuration changes">
        {changes.map(({ id, time, title, link }, at) => (
          <li key={id}>
            <a href={link} title={title}>
              {time}
            </a>
            {at < changes.length - 1 && ","}
          </li>
        ))}
      </ul>
    </div>
  );
}
