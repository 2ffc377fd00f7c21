/** A dialog, on Base UI: focus stays in it, Escape closes it. */
import { Dialog as BaseDialog } from "@base-ui/react/dialog";
import type { ReactNode } from "react";
import { Icon } from "./icons";
import { t } from "./i18n";

export function Dialog({ open, onClose, title, children, wide }: { open: boolean; onClose: () => void; title: string; children: ReactNode; wide?: boolean }): ReactNode {
  return (
    <BaseDialog.Root open={open} onOpenChange={(now) => !now && onClose()}>
      <BaseDialog.Portal>
        <BaseDialog.Backdrop className="backdrop" />
        <BaseDialog.Popup className={wide ? "dialog wide" : "dialog"}>
          <header>
            <BaseDialog.Title>{title}</BaseDialog.Title>
            <BaseDialog.Close className="icon" aria-label={t("Close")}>
              <Icon name="close" />
            </BaseDialog.Close>
          </header>
          {children}
        </BaseDialog.Popup>
      </BaseDialog.Portal>
    </BaseDialog.Root>
  );
}
