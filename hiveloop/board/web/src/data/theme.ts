// Light or dark: as the system says, unless the reader chose.
import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const KEY = "hiveboard-theme";

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

export const theme = signal<Theme>(stored());
const preference = matchMedia("(prefers-color-scheme: dark)");
const system = signal(preference.matches);
preference.addEventListener("change", () => (system.value = preference.matches));

export const isDark = signal(false);

effect(() => {
  isDark.value = theme.value === "dark" || (theme.value === "system" && system.value);
  document.documentElement.dataset["theme"] = isDark.value ? "dark" : "light";
  if (theme.value === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme.value);
});

export function toggleTheme(): void {
  theme.value = isDark.value ? "light" : "dark";
}
