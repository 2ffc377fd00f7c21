/** The service worker keeps the shell; a newer version waits until somebody reloads. */
import { BASE, ROOT, usePage } from "./store";

export async function watch(): Promise<void> {
  const registration = await navigator.serviceWorker.register(`${ROOT}sw.js`, { scope: `${BASE}/` }).catch(() => null);
  if (!registration) return;
  let asked = false;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (asked) location.reload();
  });
  const offer = (worker: ServiceWorker | null) => {
    if (!worker || !navigator.serviceWorker.controller) return;
    usePage.setState({
      update: () => {
        asked = true;
        worker.postMessage({ type: "SKIP_WAITING" });
      },
    });
  };
  offer(registration.waiting);
  setInterval(() => void registration.update().catch(() => undefined), 3_600_000);
  registration.addEventListener("updatefound", () => {
    const coming = registration.installing;
    coming?.addEventListener("statechange", () => coming.state === "installed" && offer(coming));
  });
}
