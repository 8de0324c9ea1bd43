// The page says at once what cannot be saved or answered, which Label Studio does not show. Signed out, before a proxy's
// sign-in page, or without a server, what is on it stays, and is saved as soon as the person is back.
(() => {
  const ask = window.fetch.bind(window);
  const SHOWN_MS = 10000;
  let isWaiting = false;
  let isUnsaved = false;
  let isSignedOut = false;
  let answered;
  const isHtml = (answer) => (answer.headers.get("content-type") || "").includes("text/html");
  const isLost = (answer) => [401, 502, 503, 504].includes(answer.status) || (answer.ok && isHtml(answer));
  const box = (id, place, colours) => {
    const found = document.getElementById(id) || document.body.appendChild(document.createElement("div"));
    found.id = id;
    found.setAttribute("role", "alert");
    found.style.cssText = `position:fixed;z-index:2000;padding:8px 16px;border-radius:4px;font-size:14px;${place};${colours}`;
    return found;
  };
  const sayUnsaved = (root) => {
    const line = box("avis-not-saved", "left:50%;transform:translateX(-50%);top:8px", "background:#b71c1c;color:#fff");
    line.append("Nothing is saved: you are signed out, or the server is not reached. Leave this page open and ");
    const link = line.appendChild(document.createElement("a"));
    link.textContent = "sign in in another tab";
    link.href = `${root}/`;
    link.target = "_blank";
    link.style.cssText = "color:#fff;text-decoration:underline";
    line.append(". Then what is on this page is saved by itself.");
    return line;
  };
  const sayOfClick = (words) => {
    clearTimeout(answered);
    if (!words) return document.getElementById("avis-no-mask")?.remove();
    const line = box("avis-no-mask", "right:16px;bottom:88px;max-width:420px", "background:#ffe082;color:#000");
    line.textContent = words;
    answered = setTimeout(() => line.remove(), SHOWN_MS);
  };
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  // Label Studio answers who is signed out with a new session; one that comes after a sign-in in another tab would end it.
  // So nothing is asked, also not what the page asks by itself every few seconds, before somebody may have signed in.
  const waitForASignIn = async () => {
    const before = document.cookie;
    let isHere = false;
    window.addEventListener("focus", () => (isHere = true), { once: true });
    while (document.cookie === before && !isHere) await pause(200);
  };
  const waitUntilBack = async (root) => {
    if (isWaiting) return;
    isWaiting = true;
    const line = sayUnsaved(root);
    for (;;) {
      await (isSignedOut ? waitForASignIn() : pause(1000));
      const who = await ask(`${root}/api/current-user/whoami`).catch(() => null);
      isSignedOut = who !== null && who.status === 401;
      if (who === null || !who.ok || isHtml(who)) continue;
      if (!isUnsaved) break;
      isUnsaved = false; // a draft that fails again sets it again
      await window.Htx.annotationStore.selected?.saveDraft().catch(() => (isUnsaved = true));
      if (!isUnsaved) break;
    }
    line.remove();
    isWaiting = isSignedOut = false; // also where an answer of before the sign-in came late
  };
  const notSaved = (status) => new Response(JSON.stringify({ errors: ["not saved"] }), { status });
  const tellOfClick = async (answer) => {
    const said = await answer.json().catch(() => ({}));
    if (!said.data) sayOfClick("The segmenter does not answer. Draw by hand, or click again in a minute.");
    else sayOfClick(said.data.told && `No mask: ${said.data.told}`);
  };
  window.fetch = async (request, ...more) => {
    const path = new URL(request.url || request, location.href).pathname;
    const isOfPage = path.includes("/api/") && window.Htx && window.Htx.annotationStore.selected;
    const isClick = path.includes("interactive-annotating");
    const lost = (status) => {
      isUnsaved = isUnsaved || path.includes("/drafts");
      isSignedOut = isSignedOut || status === 401;
      waitUntilBack(path.slice(0, path.indexOf("/api/")));
    };
    if (isOfPage && isSignedOut && (request.method || more[0]?.method || "GET") === "GET") return notSaved(401);
    const answer = await ask(request, ...more).catch((error) => {
      if (isOfPage && error.name !== "AbortError") lost();
      throw error;
    });
    if (isOfPage && isLost(answer)) {
      lost(answer.status);
      // A click that is answered with 401 makes the page leave for the sign-in page, and what is not saved would be lost;
      // any other call that is answered with a page in HTML opens a window over it.
      return notSaved(isClick ? 200 : 401);
    }
    if (isOfPage && isClick) tellOfClick(answer.clone());
    return answer;
  };
})();
