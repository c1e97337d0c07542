import {Fragment} from 'preact'

/** A name that, where it has to, breaks between its words. */
export function Breakable({text}: {text: string}) {
  const words = text.split(/(?<=[._-])/)
  return (
    <>
      {words.map((word, position) => (
        <Fragment key={position}>
          {position > 0 && <wbr />}
          {word}
        </Fragment>
      ))}
    </>
  )
}
