import type {Finding} from '../../../../lib/records/diagnosis.ts'
import type {ViewName} from '../../../../lib/records/values.ts'
import {partsAround, quotedView, viewTitle} from '../format.ts'
import {viewLink} from '../routes.ts'
import {Badge} from './badge.tsx'
import {Copyable} from './copyable.tsx'

interface Props {
  findings: readonly Finding[]
  /** The view that the page is about already. */
  of?: ViewName
}

/** The worst come first; a page of thousands would help nobody. */
const SHOWN = 100

/** What is wrong, and what mends it. */
export function FindingList({findings, of}: Props) {
  return (
    <ul class="findings">
      {findings.length > SHOWN && (
        <li class="hint">
          The worst {SHOWN} of {findings.length.toLocaleString('en')} findings:
        </li>
      )}
      {findings.slice(0, SHOWN).map((finding) => {
        const view = of ? null : viewOf(finding)
        return (
          <li
            key={`${finding.check} ${finding.schemaName} ${finding.viewName} ${finding.schedule} ${finding.message}`}
          >
            <p>
              <Badge state={finding.severity} />{' '}
              {view ? <Linked text={finding.message} view={view} /> : finding.message}
            </p>
            {finding.evidence && <p class="hint">{finding.evidence}</p>}
            {finding.fix.sql && <Copyable text={finding.fix.sql} />}
          </li>
        )
      })}
    </ul>
  )
}

/** A text with a link to the page of a view: the first mention of the view, or before the text. */
function Linked({text, view}: {text: string; view: ViewName}) {
  const title = viewTitle(view)
  const link = <a href={viewLink(quotedView(view))}>{title}</a>
  const parts = partsAround(text, title)
  return parts === null ? [link, ': ', text] : [parts[0], link, parts[1]]
}

const viewOf = ({schemaName, viewName}: Finding): ViewName | null =>
  schemaName === null || viewName === null ? null : {schemaName, viewName}
