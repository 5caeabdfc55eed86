// Every text on the page that has less than 4.5:1 against what is behind it.
() => {
  const parse = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
  const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => 0.2126 * linear(rgb[0] / 255) + 0.7152 * linear(rgb[1] / 255) + 0.0722 * linear(rgb[2] / 255);
  const over = (top, under) => {
    const alpha = top[3] ?? 1;
    return [0, 1, 2].map((at) => top[at] * alpha + under[at] * (1 - alpha));
  };
  const above = function* (element) {
    for (let one = element; one; one = one.parentElement) yield one;
  };
  const behind = (element) => {
    const layers = [];
    for (const one of above(element)) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if ((colour[3] ?? 1) > 0) layers.unshift(colour);
      if ((colour[3] ?? 1) === 1) break;
    }
    return layers.reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const isText = (element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()) &&
    !element.closest("svg, noscript, dialog, :disabled") &&
    element.checkVisibility();
  const ratio = (element) => {
    const opacity = [...above(element)].reduce((all, one) => all * Number(getComputedStyle(one).opacity), 1);
    const under = behind(element);
    const text = over([...parse(getComputedStyle(element).color).slice(0, 3), opacity], under);
    const [high, low] = [light(text), light(under)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  return [...document.querySelectorAll("body *")]
    .filter(isText)
    .filter((element) => ratio(element) < 4.5)
    .map((element) => `${element.className || element.tagName}: ${element.textContent.trim()} ${ratio(element).toFixed(2)}`);
}
