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
    let said = await first;
    key = said && said.data && said.data.filling && said.data.filling.key;
    if (!key || keys.has(key)) return;
    keys.add(key);
    while (said && said.data && said.data.filling && isSame()) {
      line().textContent = said.data.filling.says;
      await pause(1000);
      const selected = store.annotationStore.selected;
      while (isSame() && (store.awaitingSuggestions || selected.isDrawing)) await pause(100);
      if (!isSame() || !store.autoAcceptSuggestions) continue;
      said = await ask(key);
      const found = (said && said.data && said.data.result) || [];
      while (isSame() && (store.awaitingSuggestions || selected.isDrawing)) await pause(50);
      const wanted = found.filter((region) => !isDrawnOn(region.id));
      if (wanted.length && isSame()) await store.loadSuggestions(Promise.resolve(wanted), (regions) => regions);
    }
  } finally {
    if (key) keys.delete(key);
    if (!keys.size && document.getElementById("avis-filling")) document.getElementById("avis-filling").remove();
  }
};
