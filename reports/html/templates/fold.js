{
  // Nothing stays folded on paper, nor where a link leads into it.
  const folded = () => document.querySelectorAll("details:not([open])");
  window.addEventListener("beforeprint", () => {
    for (const each of folded()) {
      each.open = true;
      each.dataset.printed = "";
    }
  });
  window.addEventListener("afterprint", () => {
    for (const each of document.querySelectorAll("details[data-printed]")) {
      each.open = false;
      delete each.dataset.printed;
    }
  });
}
