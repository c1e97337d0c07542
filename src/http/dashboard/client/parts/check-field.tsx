import type {ComponentChildren} from 'preact'

interface Props {
  name: string
  isChecked: boolean
  /** The label. */
  children: ComponentChildren
  onChange: (isChecked: boolean) => void
}

/** A box to tick, with its label behind it. */
export const CheckField = ({name, isChecked, children, onChange}: Props) => (
  <label class="choice">
    <input
      type="checkbox"
      name={name}
      checked={isChecked}
      onChange={(event) => onChange(event.currentTarget.checked)}
    />
    {children}
  </label>
)
