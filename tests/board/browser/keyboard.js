// Watches which controls the focus comes to, and whether one sees it there; returns how many there are.
() => {
  const all = "a[href], button, input, select, textarea, summary, [tabindex]";
  const isThere = (one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0 && !one.closest("[inert]");
  const controls = [...document.querySelectorAll(all)].filter(isThere);
  const reached = new Set();
  const outlined = (one) => {
    const style = getComputedStyle(one);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  };
  const told = (one) => one.outerHTML.slice(0, 120);
  // Of radio buttons of one name only one is a stop; arrows lead to the others.
  const isGrouped = (one) => one.type === "radio" && [...reached].some((other) => other.name === one.name);
  window.unseen = [];
  window.missed = () => controls.filter((one) => one.isConnected && !reached.has(one) && !isGrouped(one)).map(told);
  document.addEventListener("focusin", ({ target }) => {
    reached.add(target);
    const ring = target.closest(".search") ?? target;
    if (!outlined(target) && !outlined(ring)) window.unseen.push(told(target));
  });
  document.activeElement?.blur();
  return controls.length;
}
