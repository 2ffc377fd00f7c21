/** What a menu's button opens, on Base UI: arrows, letters, Escape. */
import { Menu } from "@base-ui/react/menu";
import type { ReactNode, RefObject } from "react";
import type { Choice } from "./kit";

export default function MenuPopup({ anchor, choices, onClose }: { anchor: RefObject<HTMLButtonElement | null>; choices: Choice[]; onClose: () => void }): ReactNode {
  return (
    <Menu.Root open onOpenChange={(now) => !now && onClose()}>
      <Menu.Portal container={anchor.current?.closest<HTMLElement>("main, nav, aside")}>
        <Menu.Positioner anchor={anchor} positionMethod="fixed" sideOffset={4} align="end" className="positioner">
          <Menu.Popup className="menu" finalFocus={anchor}>
            {choices.map((one) => (
              <Menu.Item key={one.words} className={one.danger ? "danger" : undefined} onClick={one.act}>
                {one.words}
              </Menu.Item>
            ))}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
