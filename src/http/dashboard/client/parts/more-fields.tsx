import type {ComponentChildren} from 'preact'

interface Props {
  title: string
  /** Whether any of the fields says something already. */
  isOpen: boolean
  children: ComponentChildren
}

/** Fields that few people need. An invalid field opens them: a browser shows no message at a hidden field. */
export function MoreFields({title, isOpen, children}: Props) {
  return (
    <details
      class="more-fields"
      open={isOpen}
      onInvalidCapture={({currentTarget}) => {
        currentTarget.open = true
      }}
    >
      <summary>{title}</summary>
      {children}
    </details>
  )
}
