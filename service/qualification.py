"""Qualification flows, and how far a contact has come in one."""

from typing import Any

from sqlalchemy import select, update

from service.database import open_session
from service.tables import QualificationAnswer, QualificationFlow, QualificationQuestion


async def get_qualification_flow(flow_id: str) -> dict[str, Any]:
    async with open_session() as session:
        flow = await session.get(QualificationFlow, flow_id)
        result = await session.execute(
            select(QualificationQuestion)
            .where(QualificationQuestion.flow_id == flow_id)
            .order_by(QualificationQuestion.position)
        )
        questions = result.scalars().all()
    return {
        "id": flow_id,
        "name": flow.name if flow else "Buyers",
        "stage": flow.stage if flow else "discovery",
        "questions": [{"field": row.field, "question": row.question} for row in questions],
    }


async def update_qualification_flow(flow_id: str, changes: dict[str, Any]) -> None:
    async with open_session() as session:
        await session.execute(
            update(QualificationFlow).where(QualificationFlow.id == flow_id).values(**changes)
        )
        await session.commit()


async def save_answers(contact_id: str, answers: dict[str, str]) -> None:
    async with open_session() as session:
        for field, answer in answers.items():
            result = await session.execute(
                select(QualificationAnswer).where(
                    QualificationAnswer.contact_id == contact_id, QualificationAnswer.field == field
                )
            )
            known = result.scalars().first()
            if known is None:
                session.add(QualificationAnswer(contact_id=contact_id, field=field, answer=answer))
            else:
                known.answer = answer
            await session.commit()


async def qualification_progress(contact_id: str, flow: dict[str, Any]) -> dict[str, Any]:
    """Which questions of the flow are answered, and the next one to ask."""
    async with open_session() as session:
        result = await session.execute(
            select(QualificationAnswer.field).where(QualificationAnswer.contact_id == contact_id)
        )
        answered = set(result.scalars().all())
    fields = [question["field"] for question in flow["questions"]]
    known = [field for field in fields if field in answered]
    missing = [question for question in flow["questions"] if question["field"] not in answered]
    return {
        "answered": known,
        "percent": round(100 * len(known) / len(fields)) if fields else 0,
        "next_question": missing[0]["question"] if missing else "",
    }
