/** A part that can't be shown leaves the rest as it is. */
import { Component, type ReactNode } from "react";
import { t } from "./i18n";

export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <main className="centred">
        <p role="alert">{t("This part couldn't be loaded. What you wrote is kept.")}</p>
        <button type="button" onClick={() => location.reload()}>{t("Reload")}</button>
      </main>
    );
  }
}
