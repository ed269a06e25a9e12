for (const choice of document.querySelectorAll("fieldset.arms")) {
  choice.hidden = false;
  choice.addEventListener("change", (event) => {
    const { value, checked } = event.target;
    for (const part of choice.closest("article").querySelectorAll(`[data-arm="${value}"]`)) {
      part.classList.toggle("away", !checked);
    }
  });
}
