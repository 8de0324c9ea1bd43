// The other stills of a box come while a person works on: it is asked for them until all are on the page.
window.avisFill = async (first, ask, store, isSame) => {
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const keys = (window.avisFilling = window.avisFilling || new Set());
  const line = () => {
    const found = document.getElementById("avis-filling") || document.body.appendChild(document.createElement("div"));
    found.id = "avis-filling";
    found.setAttribute("role", "status");
    found.style.cssText =
      "position:fixed;right:16px;bottom:56px;z-index:1000;padding:4px 10px;border-radius:4px;background:#263238;color:#fff;font-size:13px";
    return found;
  };
  // Strokes that the server has not been told yet are newer than what it found.
  const isDrawnOn = (id) =>
    store.annotationStore.selected.regions.some((region) => region.cleanId === id && (region.touches || []).length > 0);
  let key;
  try {
    const answer = await first;
    let filling = answer && answer.data && answer.data.filling;
    if (!filling || keys.has(filling.key)) return;
    key = filling.key;
    keys.add(key);
    let failed = 0;
    while (filling && failed < 5 && isSame()) {
      line().textContent = filling.says;
      await pause(filling.left || failed ? 1000 : 0); // with nothing left it is only told that all came
      const selected = store.annotationStore.selected;
      while (isSame() && (store.awaitingSuggestions || selected.isDrawing)) await pause(100);
      if (!isSame() || !store.autoAcceptSuggestions) continue;
      const said = await ask(filling).catch(() => null);
      if (!said || !said.data) {
        failed += 1; // what was lost on its way is given again to who asks with the last answer that came
        continue;
      }
      failed = 0;
      const found = said.data.result || [];
      while (isSame() && (store.awaitingSuggestions || selected.isDrawing)) await pause(50);
      const wanted = found.filter((region) => !isDrawnOn(region.id));
      if (!isSame()) continue;
      if (wanted.length) await store.loadSuggestions(Promise.resolve(wanted), (regions) => regions);
      filling = said.data.filling;
    }
  } finally {
    if (key) keys.delete(key);
    if (!keys.size && document.getElementById("avis-filling")) document.getElementById("avis-filling").remove();
  }
};
