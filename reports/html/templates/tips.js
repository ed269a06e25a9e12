{
  const tip = document.createElement("p");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  const show = (part, x, y) => {
    tip.textContent = part.dataset.tip;
    tip.hidden = false;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(x + 12, room)) + window.scrollX}px`;
    tip.style.top = `${y + 16 + window.scrollY}px`;
  };
  const hide = () => {
    tip.hidden = true;
  };
  for (const drawing of document.querySelectorAll(".drawing")) {
    const parts = [];
    for (const title of drawing.querySelectorAll("svg g > title")) {
      // A browser's own tip comes late, and never by touch or key.
      title.parentNode.dataset.tip = title.textContent;
      parts.push(title.parentNode);
      title.remove();
    }
    let chosen = -1;
    const choose = (step) => {
      const shown = parts.filter((part) => !part.classList.contains("away"));
      if (!shown.length) return;
      chosen = (chosen + step + shown.length) % shown.length;
      const box = shown[chosen].getBoundingClientRect();
      show(shown[chosen], box.right, box.bottom);
    };
    drawing.addEventListener("pointermove", (event) => {
      const part = event.target.closest("[data-tip]");
      if (part) show(part, event.clientX, event.clientY);
      else hide();
    });
    drawing.addEventListener("pointerleave", hide);
    drawing.addEventListener("blur", hide);
    drawing.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step && parts.length) {
        event.preventDefault();
        choose(step);
      } else if (event.key === "Escape") hide();
    });
  }
}
