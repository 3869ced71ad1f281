// Pages work without this. With it they renew what they show: an event says that something new was seen, the
// page then asks for itself again and takes over the parts marked data-live. Hidden or paused pages ask nothing.
"use strict";

(() => {
  const toggle = document.querySelector("[data-live-toggle]");
  let paused = false;
  let busy = false;
  let missed = false; // news that came while the page was being asked for

  const renew = async () => {
    missed = busy;
    if (paused || busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const next = fresh.getElementById(part.id);
        const here = document.activeElement;
        if (!next || next.innerHTML === part.innerHTML) continue;
        // who is in the middle of a part keeps their place in it
        const index = part.contains(here) ? [...part.querySelectorAll("a, button, [tabindex]")].indexOf(here) : -1;
        const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
        part.className = next.className;
        part.innerHTML = next.innerHTML;
        part.querySelectorAll(".scroll").forEach((box, n) => { box.scrollLeft = scrolled[n] || 0; });
        if (index >= 0) part.querySelectorAll("a, button, [tabindex]")[index]?.focus({ preventScroll: true });
      }
      document.body.classList.remove("away");
    } catch {
      document.body.classList.add("away");
    } finally {
      busy = false;
    }
    if (missed) renew();
  };

  if (document.body.hasAttribute("data-live-page") && window.EventSource) {
    const source = new EventSource("/live");
    source.addEventListener("seen", renew);
    source.addEventListener("error", () => document.body.classList.add("away"));
    document.addEventListener("visibilitychange", renew);
    addEventListener("pagehide", () => source.close());
    if (toggle) {
      toggle.hidden = false;
      toggle.addEventListener("click", () => {
        paused = !paused;
        toggle.setAttribute("aria-pressed", String(!paused));
        toggle.textContent = paused ? "Paused" : "Live";
        renew();
      });
    }
  }

  document.addEventListener("keydown", (event) => {
    const typing = /^(input|textarea|select)$/i.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      document.querySelector("[data-find]")?.focus();
    }
  });
})();
